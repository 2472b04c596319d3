// Storage serves PersistentVolumeClaims with folders of the node's disk.
//
// A volume is of type `local`, so that the kubelet gives it to the pod's fsGroup as it would a disk;
// `hostPath` volumes are not. A folder goes when its claim goes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v10/controller"
)

type folders struct{ root string }

func (f folders) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	if options.SelectedNode == nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("the storage class must wait for the first consumer: a folder is on one node")
	}
	path := filepath.Join(f.root, options.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// Past the umask: without an fsGroup any user of a pod may write, as on a local disk of kind.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return volume(options, path), controller.ProvisioningFinished, nil
}

func volume(options controller.ProvisionOptions, path string) *core.PersistentVolume {
	node := core.NodeSelectorRequirement{
		Key:      core.LabelHostname,
		Operator: core.NodeSelectorOpIn,
		Values:   []string{options.SelectedNode.Labels[core.LabelHostname]},
	}
	term := core.NodeSelectorTerm{MatchExpressions: []core.NodeSelectorRequirement{node}}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity:                  &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{term}}},
		},
	}
}

func (f folders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	return os.RemoveAll(filepath.Join(f.root, volume.Name))
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the cluster")
	root := flag.String("root", "", "where the folders are made")
	name := flag.String("name", "", "the provisioner's name in the storage class")
	flag.Parse()
	configuration, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	client := kubernetes.NewForConfigOrDie(configuration)
	controller.NewProvisionController(klog.FromContext(ctx), client, *name, folders{*root},
		controller.LeaderElection(false)).Run(ctx)
}
